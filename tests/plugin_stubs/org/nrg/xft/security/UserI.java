package org.nrg.xft.security;

public interface UserI {}
