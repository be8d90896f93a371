package org.nrg.xdat.security.helpers;

public enum AccessLevel {
    Null,
    Admin,
    Read
}
