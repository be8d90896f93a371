package org.nrg.xdat.om;

import java.util.Hashtable;
import org.nrg.xft.ItemI;
import org.nrg.xft.security.UserI;

public class XnatImageassessordata {
    public XnatImageassessordata() {}

    public XnatImageassessordata(ItemI item) {}

    public XnatImageassessordata(UserI user) {}

    @SuppressWarnings("rawtypes")
    public XnatImageassessordata(Hashtable properties, UserI user) {}

    public String getSchemaElementName() {
        return "xnat:imageAssessorData";
    }
}
