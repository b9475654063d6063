-- /// query
-- title = "Lines of the control plane that contain a text"
-- topic = "platform"
-- section = [6]
-- see_also = ["control-plane-errors"]
--
-- description = """
-- The log lines of one category or of all, in order of time, that contain a text:
-- a pod's name, a node, an audit id (slow requests are traced by kube-apiserver
-- under it), the first line of a stack trace. Upper and lower case are the same.
-- """
--
-- example = { text = "panic", category = "kube-apiserver" }
--
-- [params]
-- text = { type = "string", description = "What the line contains", required = true }
-- category = { type = "string", description = "Log category such as kube-apiserver; all if not given", required = false }
-- ///

SELECT
    time,
    cluster,
    category,
    severity,
    component,
    pod,
    message,
    concat_ws(':', source_file, source_line) AS source
FROM control_plane
WHERE
    ($category IS NULL OR category = $category)
    AND strpos(lower(message), lower($text)) > 0
ORDER BY time, cluster, pod, message
