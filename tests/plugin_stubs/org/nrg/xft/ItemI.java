package org.nrg.xft;

public interface ItemI {}
