package org.overread.xnat.core;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * The secrets of the projects' buttons, in a file that XNAT's own account alone may read, and the rule by which addresses are
 * signed: HMAC-SHA256 in hex of {@code study|uid|VALUE|expires}, or {@code study|accession|VALUE|expires}. Of the JDK alone; the
 * same rule as {@code overread.study.button}.
 */
final class ButtonSecrets {
    static final String RULE =
            "a button's secret has 20 to 256 letters, digits and signs, without blanks";
    private final Path file;

    ButtonSecrets(Path file) {
        this.file = file;
    }

    static boolean isGood(String secret) {
        return secret != null && secret.matches("[!-~]{20,256}");
    }

    /** The project's secret; null if its button need not be signed. */
    synchronized String of(String project) throws IOException {
        return read().getProperty(project);
    }

    /** Keep a project's secret; null forgets it. */
    synchronized void put(String project, String secret) throws IOException {
        Properties all = read();
        if (secret == null) {
            all.remove(project);
        } else {
            all.setProperty(project, secret);
        }
        Files.createDirectories(file.getParent());
        Path part = Files.createTempFile(file.getParent(), "buttons", ".part"); // closed to others from the first byte
        try (OutputStream out = Files.newOutputStream(part)) {
            all.store(out, "Secrets of PACS buttons, by project");
        }
        if (Files.getFileStore(part).supportsFileAttributeView("posix")) {
            Files.setPosixFilePermissions(part, PosixFilePermissions.fromString("rw-------"));
        }
        try {
            Files.move(part, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } catch (AtomicMoveNotSupportedException e) {
            Files.move(part, file, StandardCopyOption.REPLACE_EXISTING);
        }
    }

    private Properties read() throws IOException {
        Properties all = new Properties();
        if (Files.exists(file)) {
            try (InputStream in = Files.newInputStream(file)) {
                all.load(in);
            }
        }
        return all;
    }

    /** Why an address is refused: unsigned, wrong or expired; empty if it is good. */
    static String refusal(Map<String, String> address, String secret, long nowS) {
        String signature = text(address, "signature");
        String expires = text(address, "expires");
        if (signature.isEmpty() || expires.isEmpty()) {
            return "unsigned";
        }
        String key = text(address, "uid").isEmpty() ? "accession" : "uid";
        String signed = text(address, "study") + "|" + key + "|" + text(address, key) + "|" + expires;
        byte[] want = bytes(hmac(signed, secret));
        boolean same = MessageDigest.isEqual(want, bytes(signature.toLowerCase(Locale.ROOT)));
        if (!same || !expires.matches("[0-9]{1,12}")) {
            return "wrong";
        }
        return Long.parseLong(expires) < nowS ? "expired" : "";
    }

    /** Eight hex digits by which people can tell whether two places have the same secret. */
    static String fingerprint(String secret) {
        try {
            return hex(MessageDigest.getInstance("SHA-256").digest(bytes(secret))).substring(0, 8);
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException(e);
        }
    }

    private static String hmac(String text, String secret) {
        try {
            Mac mac = Mac.getInstance("HmacSHA256");
            mac.init(new SecretKeySpec(bytes(secret), "HmacSHA256"));
            return hex(mac.doFinal(bytes(text)));
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException(e);
        }
    }

    private static String text(Map<String, String> address, String name) {
        String value = address.get(name);
        return value == null ? "" : value;
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static String hex(byte[] bytes) {
        StringBuilder said = new StringBuilder();
        for (byte each : bytes) {
            said.append(String.format("%02x", each & 0xff));
        }
        return said.toString();
    }
}
