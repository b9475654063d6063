-- /// detection
-- title = "A node keeps failing or restarting"
-- severity = "informational"
-- status = "stable"
-- attack = []
-- section = [7]
-- window = "1h"
-- suppress = "6h"
-- key = ["cluster", "node"]
-- summary = "{node} of {cluster} restarted or went silent {times} times within an hour ({reasons})"
--
-- description = """
-- Three reports within an hour that a node restarted or is not ready: a bad image, a full disk, a broken network, or
-- somebody at work on it. Reads the events that kubelets and the node controller write; a repetition that is only
-- counted up in an older event does not tell its reason, and where events are logged at level Metadata or were cut the
-- rule stays silent. See the node's events and its versions.
-- """
-- false_positives = [
--   "Upgrades, and reboot daemons",
-- ]
-- follow_up = ["node-versions", "control-plane-errors"]
-- ///

SELECT
    cluster,
    coalesce(object -> 'involvedObject' ->> 'name', object -> 'regarding' ->> 'name') AS node,
    count(DISTINCT audit_id) AS times,
    string_agg(DISTINCT object ->> 'reason', ', ' ORDER BY object ->> 'reason') AS reasons,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND resource = 'events'
    AND verb IN ('create', 'update', 'patch')
    AND (object ->> 'reason') IN ('Rebooted', 'NodeNotReady')
    AND coalesce(object -> 'involvedObject' ->> 'kind', object -> 'regarding' ->> 'kind') = 'Node'
GROUP BY cluster, coalesce(object -> 'involvedObject' ->> 'name', object -> 'regarding' ->> 'name')
HAVING count(DISTINCT audit_id) >= 3
