package org.nrg.xdat.security.services;

public class RoleHolder {}
