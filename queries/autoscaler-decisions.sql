-- /// query
-- title = "What the cluster autoscaler decided"
-- topic = "platform"
-- section = [7]
-- see_also = ["control-plane-errors"]
--
-- description = """
-- Scale-ups, scale-downs and the reasons against them, as the autoscaler logged
-- them, in order of time. Pods that cannot be scheduled on any pool are told by
-- "no scale-up possible". A cluster that grows at night without a rollout may mine
-- for somebody. Loops without a decision are left out unless asked for. The texts
-- are upstream's and change between versions: what is not recognised is "other",
-- shown with warnings and errors only.
-- """
--
-- [params]
-- routine = { type = "bool", description = "Whether loops without a decision are shown", default = false }
-- ///

WITH lines AS (
    SELECT
        time,
        cluster,
        severity,
        CASE
            WHEN regexp_like(message, '(?i)final scale-up plan|setting group .* size to|scale-up: .*expand') THEN 'scale up'
            WHEN regexp_like(message, '(?i)removing (empty )?node|scale-down: removing|deleting nodes|nodes to delete') THEN 'scale down'
            WHEN regexp_like(message, '(?i)no expansion options|max size reached|max node group size|not triggering scale-up|no pod can fit|can''t be scheduled|won''t be schedulable') THEN 'no scale-up possible'
            WHEN regexp_like(message, '(?i)cannot be removed|unremovable|no candidates|scale-down calculation|scale.down.*blocked') THEN 'no scale-down possible'
            WHEN regexp_like(message, '(?i)failed to (scale|increase|delete|fix)|backoff|backed off|not healthy|unready') THEN 'failure'
            WHEN severity IN ('warning', 'error', 'fatal') THEN 'other'
            ELSE 'routine'
        END AS decision,
        message,
        concat_ws(':', source_file, source_line) AS source
    FROM control_plane
    WHERE category = 'cluster-autoscaler'
)

SELECT
    time,
    cluster,
    decision,
    severity,
    message,
    source
FROM lines
WHERE $routine OR decision <> 'routine'
ORDER BY time, cluster, message
