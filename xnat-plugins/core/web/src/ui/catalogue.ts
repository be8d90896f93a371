export const CATALOGUES: Readonly<Record<string, Readonly<Record<string, string>>>> = { de: {} };
