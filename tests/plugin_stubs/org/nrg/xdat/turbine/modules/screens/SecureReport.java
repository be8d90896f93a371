package org.nrg.xdat.turbine.modules.screens;

import org.apache.turbine.util.RunData;
import org.apache.velocity.context.Context;

public abstract class SecureReport {
    public SecureReport() {}

    public abstract void finalProcessing(RunData data, Context context);
}
