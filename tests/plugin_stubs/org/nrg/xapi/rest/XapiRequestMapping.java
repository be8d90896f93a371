package org.nrg.xapi.rest;

import org.nrg.xdat.security.helpers.AccessLevel;
import org.springframework.web.bind.annotation.RequestMethod;

public @interface XapiRequestMapping {
    String[] value() default {};

    RequestMethod[] method() default {};

    String[] consumes() default {};

    String[] produces() default {};

    AccessLevel restrictTo() default AccessLevel.Null;
}
