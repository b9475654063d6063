-- /// detection
-- title = "Pod security was loosened on a namespace"
-- severity = "high"
-- status = "stable"
-- attack = ["T1562.001"]
-- section = [5]
-- window = "1d"
-- step = "1m"
-- key = ["cluster", "username", "name"]
-- suppress = "1d"
-- summary = "{username} loosened pod security of namespace {name} of {cluster} from {before} to {after}, from {client_ip}"
--
-- description = """
-- The label pod-security.kubernetes.io/enforce is what refuses privileged pods in a namespace. Fires when a write leaves a lower
-- level (restricted, baseline, then privileged or none) than the write before it on the same day, and, where no earlier
-- write was seen (before is then "not seen"), when a patch itself takes the label away or sets it to privileged. An update without the
-- label, of a namespace not written to that day, is not known to be a change and stays silent. Where the log has only
-- the request of a patch (level Request), a patch that does not name the label says nothing about it. Without bodies (level
-- Metadata) the rule stays silent. Dry runs do not count. Set the label again and look for pods made meanwhile.
-- """
-- false_positives = [
--   "GitOps and a platform team disputing who owns the label: add the identity to lists/workload_deployers.csv",
-- ]
-- follow_up = ["object-history", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    name,
    min(coalesce(before, 'not seen')) AS before,
    min(coalesce(after, 'none')) AS after,
    min(client_ip) AS client_ip,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM (
    SELECT
        later.cluster,
        later.username,
        later.name,
        later.client_ip,
        later.time,
        later.loosened,
        later.known,
        later.after,
        last_value(earlier.before ORDER BY earlier.time) AS before
    FROM (
        SELECT
            cluster,
            username,
            name,
            audit_id,
            client_ip,
            time,
            object -> 'metadata' -> 'labels' ->> 'pod-security.kubernetes.io/enforce' AS after,
            verb = 'patch' AND (
                regexp_like(request_object, '"pod-security\.kubernetes\.io/enforce"\s*:\s*(null|""|"privileged")')
                OR regexp_like(request_object, '"remove"[^{}]*~1enforce"|~1enforce"[^{}]*"(remove|privileged)"|"privileged"[^{}]*~1enforce"')
            ) AS loosened,
            (object -> 'metadata' -> 'labels' ->> 'pod-security.kubernetes.io/enforce') IS NOT NULL
                OR (NOT truncated AND (verb <> 'patch' OR response_object IS NOT NULL)) AS known
        FROM audit
        WHERE
            stage = 'ResponseComplete'
            AND status_code BETWEEN 200 AND 299
            AND verb IN ('create', 'update', 'patch')
            AND resource = 'namespaces'
            AND coalesce(subresource, 'status') IN ('status', 'finalize')
            AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
            AND (request_object IS NOT NULL OR response_object IS NOT NULL)
            AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
            AND NOT listed('workload_deployers', username)
            AND (
                request_object LIKE '%pod-security.kubernetes.io%'
                OR (NOT truncated AND (verb <> 'patch' OR response_object IS NOT NULL))
            )
    ) AS later
    LEFT JOIN (
        SELECT
            cluster,
            name,
            time,
            coalesce(object -> 'metadata' -> 'labels' ->> 'pod-security.kubernetes.io/enforce', 'none') AS before
        FROM audit
        WHERE
            stage = 'ResponseComplete'
            AND status_code BETWEEN 200 AND 299
            AND verb IN ('create', 'update', 'patch')
            AND resource = 'namespaces'
            AND coalesce(subresource, 'status') IN ('status', 'finalize')
            AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
            AND (
                (object -> 'metadata' -> 'labels' ->> 'pod-security.kubernetes.io/enforce') IS NOT NULL
                OR (NOT truncated AND (response_object IS NOT NULL OR (verb <> 'patch' AND request_object IS NOT NULL)))
            )
    ) AS earlier
        ON coalesce(earlier.cluster, '') = coalesce(later.cluster, '')
        AND earlier.name = later.name
        AND earlier.time < later.time
    GROUP BY
        later.cluster, later.username, later.name, later.audit_id,
        later.client_ip, later.time, later.loosened, later.known, later.after
) AS change
WHERE
    (loosened AND before IS NULL AND coalesce(after, 'privileged') NOT IN ('baseline', 'restricted'))
    OR (
        (loosened OR known)
        AND CASE before WHEN 'restricted' THEN 2 WHEN 'baseline' THEN 1 ELSE 0 END
            > CASE after WHEN 'restricted' THEN 2 WHEN 'baseline' THEN 1 ELSE 0 END
    )
GROUP BY cluster, username, name
