-- /// detection
-- title = "A node was refused objects of other nodes again and again"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1078", "T1613"]
-- section = [1, 7]
-- categories = ["kube-audit"]
-- window = "10m"
-- key = ["cluster", "username"]
-- suppress = "1d"
-- summary = "{username} was refused {objects} different objects that do not belong to it on {cluster} within ten minutes ({kinds}), from {client_ip}"
--
-- description = """
-- The API server gives a node only what its own pods need; a stolen node certificate is turned down elsewhere with
-- these messages. A drained node is refused a few of its former pods' secrets in a race, so ten different objects
-- within ten minutes are asked for. No body is needed; the reason is in the status. See what the node asked for before
-- and after, with which user agent and from where.
-- """
-- false_positives = [
--   "A large node drained at once",
-- ]
-- follow_up = ["denied-by-identity", "identity-timeline", "address-timeline"]
-- ///

SELECT
    cluster,
    username,
    count(DISTINCT concat(resource, ' ', namespace, '/', name)) AS objects,
    string_agg(DISTINCT resource, ', ' ORDER BY resource) AS kinds,
    min(client_ip) AS client_ip,
    min(user_agent) AS user_agent,
    min(status_message) AS message,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code = 403
    AND principal_class = 'node'
    AND regexp_like(status_message, 'no relationship found|can only |is not allowed to ')
GROUP BY cluster, username
HAVING count(DISTINCT concat(resource, ' ', namespace, '/', name)) >= 10
