package org.nrg.framework.annotations;

public @interface XapiRestController {}
