-- /// detection
-- title = "A new node got no security or monitoring agent"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1562.001"]
-- section = [7, 6]
-- window = "1d"
-- step = "5m"
-- key = ["cluster", "node"]
-- summary = "{node} joined {cluster} half an hour ago, and neither the Defender sensor nor the monitoring agent was started there"
--
-- description = """
-- A node without the agents is a place to work unseen: made by a selector on the daemon set, a taint, or a kubelet that
-- is not what it seems. Fires once, half an hour after a node joined, when its kubelet has reported the status of no
-- such pod while another node that day did; in clusters without the agents, or where no other node reported one that
-- day, it stays silent. Virtual nodes and nodes that were removed are left out. No body is needed, but a create at level
-- Metadata does not tell the node's name and stays silent. Look at the daemon set's selectors and the node's taints.
-- """
-- false_positives = [
--   "Pools whose taints keep the agents out on purpose",
-- ]
-- follow_up = ["node-versions", "object-history", "system-config-changed"]
-- ///

SELECT
    cluster,
    node,
    first_seen,
    last_seen
FROM (
    SELECT
        cluster,
        node,
        min(joined) AS joined,
        count(agent) AS agents,
        count(removed) AS removals,
        sum(count(agent)) OVER (PARTITION BY cluster) AS agents_elsewhere,
        min(time) AS first_seen,
        max(time) AS last_seen
    FROM (
        SELECT
            cluster,
            time,
            CASE WHEN resource = 'nodes' THEN name ELSE substr(username, 13) END AS node,
            CASE WHEN resource = 'nodes' AND verb = 'create' THEN time END AS joined,
            CASE WHEN resource = 'nodes' AND verb = 'delete' THEN time END AS removed,
            CASE WHEN resource = 'pods' THEN name END AS agent
        FROM audit
        WHERE
            stage = 'ResponseComplete'
            AND status_code BETWEEN 200 AND 299
            AND (
                (resource = 'nodes' AND verb IN ('create', 'delete') AND name NOT LIKE 'virtual-node%')
                OR (
                    resource = 'pods'
                    AND subresource = 'status'
                    AND principal_class = 'node'
                    AND verb IN ('update', 'patch')
                    AND regexp_like(name, '^(microsoft-defender-collector-ds|ama-logs|ama-logs-windows)-[a-z0-9]{5}$')
                )
            )
    ) AS seen
    GROUP BY cluster, node
) AS nodes
WHERE
    agents = 0
    AND removals = 0
    AND agents_elsewhere >= 1
    AND joined <= window_end() - INTERVAL '30 minutes'
    AND joined > window_end() - INTERVAL '35 minutes'
