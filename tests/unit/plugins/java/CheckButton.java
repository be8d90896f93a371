package org.overread.xnat.core;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Paths;
import java.util.HashMap;
import java.util.Map;

/** Answers each line of its input by one: check, SECRET, NOW, name=value...; or FILE, put, PROJECT, SECRET; or FILE, of, PROJECT. By tabs. */
public class CheckButton {
    public static void main(String[] none) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] given = line.split("\t");
            if (given[0].equals("check")) {
                Map<String, String> address = new HashMap<String, String>();
                for (int i = 3; i < given.length; i++) {
                    address.put(given[i].split("=", 2)[0], given[i].split("=", 2)[1]);
                }
                String why = ButtonSecrets.refusal(address, given[1], Long.parseLong(given[2]));
                System.out.println(why + "," + ButtonSecrets.fingerprint(given[1]) + "," + ButtonSecrets.isGood(given[1]));
            } else {
                ButtonSecrets secrets = new ButtonSecrets(Paths.get(given[0]));
                if (given[1].equals("put")) {
                    secrets.put(given[2], given.length > 3 ? given[3] : null);
                }
                System.out.println(secrets.of(given[2]));
            }
        }
    }
}
