-- /// detection
-- title = "An ingress claims a name that another namespace serves"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1557"]
-- section = [2]
-- window = "1d"
-- step = "1m"
-- key = ["cluster", "host", "namespace"]
-- suppress = "1d"
-- summary = "{username} claimed {host} for ingress {namespace}/{name} of {cluster}, which namespace {owner} serves, from {client_ip}"
--
-- description = """
-- An ingress controller serves whatever names ingresses ask for: a second one with a path the first does not have
-- takes logins or tokens from under a trusted name. Fires when an ingress names a host that, earlier the same day, an
-- ingress of another namespace was written with; who was first that day counts as the owner. AKS and the identities of
-- lists/workload_deployers.csv may claim names, dry runs do not count. Without a body (level Metadata, or cut), for a
-- patch without a response that does not hold the rules, and for an owner that was not written that day, the rule
-- stays silent. Ask both teams; see which paths it took.
-- """
-- false_positives = [
--   "A move from one namespace to another; names served by several namespaces: add them to lists/shared_hosts.csv",
-- ]
-- follow_up = ["ingress-changes", "object-history", "identity-timeline"]
-- ///

SELECT
    cluster,
    host,
    namespace,
    name,
    username,
    verb,
    owner,
    client_ip,
    time AS first_seen,
    time AS last_seen
FROM (
    SELECT
        *,
        first_value(namespace) OVER (PARTITION BY cluster, host ORDER BY time, audit_id) AS owner
    FROM (
        SELECT
            cluster,
            username,
            principal_class,
            verb,
            namespace,
            name,
            client_ip,
            time,
            audit_id,
            lower(unnest(json_get_array(object -> 'spec' ->> 'rules')) ->> 'host') AS host
        FROM audit
        WHERE
            stage = 'ResponseComplete'
            AND status_code BETWEEN 200 AND 299
            AND verb IN ('create', 'update', 'patch')
            AND resource = 'ingresses'
            AND subresource IS NULL
            AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
    ) AS written
) AS claim
WHERE
    namespace <> owner
    AND host <> ''
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('workload_deployers', username)
    AND NOT listed('shared_hosts', host)
