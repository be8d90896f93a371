package org.nrg.xapi.rest;

import org.nrg.xdat.security.services.RoleHolder;
import org.nrg.xdat.security.services.UserManagementServiceI;

public abstract class AbstractXapiRestController {
    protected AbstractXapiRestController(UserManagementServiceI users, RoleHolder roles) {}
}
