package org.nrg.xdat.security.services;

public interface UserManagementServiceI {}
