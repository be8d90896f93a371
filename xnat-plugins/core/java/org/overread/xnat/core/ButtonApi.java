package org.overread.xnat.core;

import java.io.IOException;
import java.nio.file.Paths;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import org.nrg.framework.annotations.XapiRestController;
import org.nrg.xapi.rest.AbstractXapiRestController;
import org.nrg.xapi.rest.Project;
import org.nrg.xapi.rest.XapiRequestMapping;
import org.nrg.xdat.security.helpers.AccessLevel;
import org.nrg.xdat.security.services.RoleHolder;
import org.nrg.xdat.security.services.UserManagementServiceI;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.http.HttpStatus;
import org.springframework.http.ResponseEntity;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RequestMethod;

/** {@code /xapi/overread/projects/P/button}: the button's secret, and whether an address was signed with it. */
@XapiRestController
public class ButtonApi extends AbstractXapiRestController {
    private static final String PATH = "/overread/projects/{project}/button";
    private static final String JSON = "application/json";
    private final ButtonSecrets secrets =
            new ButtonSecrets(Paths.get(System.getProperty("xnat.home", "."), "config", "overread", "buttons.properties"));

    @Autowired
    public ButtonApi(UserManagementServiceI users, RoleHolder roles) {
        super(users, roles);
    }

    /** Whether the project's button must be signed; never the secret. */
    @XapiRequestMapping(value = PATH, method = RequestMethod.GET, produces = JSON, restrictTo = AccessLevel.Admin)
    public ResponseEntity<Map<String, Object>> show(@PathVariable("project") @Project String project) throws IOException {
        return answer(HttpStatus.OK, described(secrets.of(project)));
    }

    /** From now on only addresses signed with this secret are opened. */
    @XapiRequestMapping(value = PATH, method = RequestMethod.PUT, consumes = JSON, produces = JSON, restrictTo = AccessLevel.Admin)
    public ResponseEntity<Map<String, Object>> put(
            @PathVariable("project") @Project String project, @RequestBody Map<String, String> asked) throws IOException {
        String secret = asked.get("secret");
        if (!ButtonSecrets.isGood(secret)) {
            return answer(HttpStatus.BAD_REQUEST, Collections.<String, Object>singletonMap("message", ButtonSecrets.RULE));
        }
        secrets.put(project, secret);
        return answer(HttpStatus.OK, described(secret));
    }

    /** Unsigned addresses are opened again. */
    @XapiRequestMapping(value = PATH, method = RequestMethod.DELETE, produces = JSON, restrictTo = AccessLevel.Admin)
    public ResponseEntity<Map<String, Object>> remove(@PathVariable("project") @Project String project) throws IOException {
        secrets.put(project, null);
        return answer(HttpStatus.OK, described(null));
    }

    /** Whether an address may be opened; if not, why: unsigned, wrong, expired. */
    @XapiRequestMapping(value = PATH + "/check", method = RequestMethod.POST, consumes = JSON, produces = JSON, restrictTo = AccessLevel.Read)
    public ResponseEntity<Map<String, Object>> check(
            @PathVariable("project") @Project String project, @RequestBody Map<String, String> asked) throws IOException {
        String secret = secrets.of(project);
        String why = secret == null ? "" : ButtonSecrets.refusal(asked, secret, System.currentTimeMillis() / 1000);
        Map<String, Object> said = new LinkedHashMap<String, Object>();
        said.put("accepted", Boolean.valueOf(why.isEmpty()));
        said.put("why", why);
        return answer(HttpStatus.OK, said);
    }

    private static Map<String, Object> described(String secret) {
        Map<String, Object> said = new LinkedHashMap<String, Object>();
        said.put("signed", Boolean.valueOf(secret != null));
        if (secret != null) {
            said.put("fingerprint", ButtonSecrets.fingerprint(secret));
        }
        return said;
    }

    private static ResponseEntity<Map<String, Object>> answer(HttpStatus status, Map<String, Object> said) {
        return new ResponseEntity<Map<String, Object>>(said, status);
    }
}
