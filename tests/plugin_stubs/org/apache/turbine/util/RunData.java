package org.apache.turbine.util;

public interface RunData {}
