// Renders one Velocity template with the genuine engine, strictly: a reference that nothing explains is an error.
// Arguments: folder of templates, name of the template, then key=value properties of the item.

import java.io.StringWriter;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.velocity.VelocityContext;
import org.apache.velocity.app.VelocityEngine;
import org.apache.velocity.runtime.log.NullLogChute;
import org.apache.velocity.tools.generic.EscapeTool;

public class RenderTemplate {
    /** What XNAT's templates know as $item: an XFTItem. */
    public static class Item {
        private final Map<String, Object> properties = new HashMap<>();

        public Object getProperty(String path) {
            return properties.get(path);
        }
    }

    /** $om: the object of the datatype's class, or a session. */
    public static class Om {
        private final Item item;

        Om(Item item) {
            this.item = item;
        }

        public String getId() {
            return (String) item.getProperty("ID");
        }

        public String getProject() {
            return (String) item.getProperty("project");
        }

        public String getImagesessionId() {
            return (String) item.getProperty("imageSession_ID");
        }

        public String getXSIType() {
            return (String) item.getProperty("xsiType");
        }

        public List<Object> getMinimalLoadAssessors(String type) {
            return type.equals(item.getProperty("assessor")) ? Collections.<Object>singletonList(type) : new ArrayList<>();
        }
    }

    /** $turbineUtils. */
    public static class TurbineUtils {
        public String escapeHTML(String text) {
            return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\"", "&quot;");
        }

        public String getTemplateName(String module, String type, String project) {
            return "fragment" + module + ".vm";
        }
    }

    /** $content. */
    public static class Content {
        public String getURI(String path) {
            return "/xnat/" + path;
        }
    }

    /** $data. */
    public static class Data {
        private final Item item;

        Data(Item item) {
            this.item = item;
        }

        public Object getMessage() {
            return item.getProperty("message");
        }
    }

    public static void main(String[] arguments) {
        VelocityEngine engine = new VelocityEngine();
        engine.setProperty("runtime.log.logsystem.class", NullLogChute.class.getName());
        engine.setProperty("runtime.references.strict", true);
        engine.setProperty("file.resource.loader.path", arguments[0]);
        engine.init();
        Item item = new Item();
        for (int i = 2; i < arguments.length; i++) {
            String[] pair = arguments[i].split("=", 2);
            item.properties.put(pair[0], pair[1].matches("-?[0-9.]+") ? (Object) Double.valueOf(pair[1]) : pair[1]);
        }
        VelocityContext context = new VelocityContext();
        context.put("item", item);
        context.put("om", new Om(item));
        context.put("turbineUtils", new TurbineUtils());
        context.put("content", new Content());
        context.put("data", new Data(item));
        context.put("esc", new EscapeTool());
        context.put("project", item.getProperty("project"));
        StringWriter page = new StringWriter();
        engine.getTemplate(arguments[1], "UTF-8").merge(context, page);
        System.out.print(page);
    }
}
