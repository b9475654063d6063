-- /// detection
-- title = "Secrets were read by someone outside the groups that may"
-- severity = "low"
-- status = "shadow"
-- attack = ["T1552.007"]
-- section = [4]
-- categories = ["kube-audit"]
-- window = "1m"
-- key = ["cluster", "username", "scope"]
-- suppress = "1d"
-- summary = "{username} read secrets of namespace {scope} of {cluster} and is in no group that lists/secret_reader_groups.csv names for it, from {client_ip}"
--
-- description = """
-- Which teams read the secrets of which namespace is known; rights in Kubernetes are often wider. Needs your own
-- lists/secret_reader_groups.csv with namespace/group a row (* for every namespace; groups of Entra are object ids), and
-- is shadow until that is filled. Service accounts, nodes and the control plane are left out. One alert for each identity,
-- namespace and day; a list over all namespaces has the namespace (all). No body is needed. Take the right away, or add
-- the group.
-- """
-- false_positives = [
--   "Groups that are not on the list yet",
-- ]
-- follow_up = ["secrets-read-by-identity", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    scope,
    min(client_ip) AS client_ip,
    min(name) AS first_name,
    substr(string_agg(DISTINCT one_group, ', ' ORDER BY one_group), 1, 500) AS groups,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM (
    SELECT
        cluster,
        username,
        coalesce(namespace, '(all)') AS scope,
        name,
        client_ip,
        time,
        unnest(groups) AS one_group
    FROM audit
    WHERE
        stage IN ('ResponseComplete', 'ResponseStarted')
        AND status_code BETWEEN 200 AND 299
        AND resource = 'secrets'
        AND verb IN ('get', 'list', 'watch')
        AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa', 'service-account', 'anonymous')
) AS read
GROUP BY cluster, username, scope
HAVING NOT bool_or(listed('secret_reader_groups', concat(scope, '/', one_group)))
