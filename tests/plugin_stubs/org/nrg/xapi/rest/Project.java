package org.nrg.xapi.rest;

public @interface Project {}
