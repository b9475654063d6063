-- /// query
-- title = "Errors of the control plane by component"
-- topic = "platform"
-- section = [6]
-- see_also = ["control-plane-lines", "api-failures"]
--
-- description = """
-- Errors and, where asked for, warnings that components of the control plane
-- logged, alike ones put together: numbers, ids and quoted names are taken out of
-- the text. example is the first of them as it was logged. Lines without a header
-- (stack traces) belong to the line before; see control-plane-lines. A component
-- whose category is not collected has no rows, whatever happened to it.
-- """
--
-- [params]
-- warnings = { type = "bool", description = "Whether warnings count too", default = true }
-- ///

SELECT
    cluster,
    component,
    severity,
    source_file,
    substr(
        regexp_replace(
            regexp_replace(
                regexp_replace(message, '"[^"]*"', '"…"', 'g'),
                '[0-9a-f]{8}-[0-9a-f-]{27}',
                '<id>',
                'g'
            ),
            '[0-9]+',
            '<n>',
            'g'
        ),
        1,
        200
    ) AS alike,
    count(*) AS times,
    min(time) AS first_seen,
    max(time) AS last_seen,
    substr(first_value(message ORDER BY time, message), 1, 500) AS example
FROM control_plane
WHERE severity IN ('error', 'fatal') OR ($warnings AND severity = 'warning')
GROUP BY 1, 2, 3, 4, 5
ORDER BY severity, times DESC, cluster, component, alike
