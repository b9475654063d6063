-- /// query
-- title = "History of an object, with what each write changed"
-- topic = "change"
-- section = [1, 6]
-- see_also = ["object-readers", "identity-timeline"]
--
-- description = """
-- Every write of one object in order of time, and what was different after it:
-- added (+), removed (-) and changed values. Compared is what the API server
-- answered, so defaults it fills in are there and its own bookkeeping is not; the
-- first version in the range has nothing to be compared with. A write whose body
-- was not logged (level Metadata, skipped, cut) has no changes listed and the next
-- one is compared with the last body that was: compared_with has its time. asked
-- is the beginning of what was sent, for patches the patch itself. Secrets and
-- config maps are logged without bodies. Dry runs and refused writes are shown and
-- change nothing. Deletions of the whole collection are shown where the namespace
-- is given.
-- """
--
-- example = { resource = "namespaces", name = "payments" }
--
-- [params]
-- resource = { type = "string", description = "Kind of the object as in the API: plural, lower case", required = true }
-- name = { type = "string", description = "Name of the object", required = true }
-- namespace = { type = "string", description = "Namespace of the object; any if not given", required = false }
-- ///

WITH writes AS (
    SELECT
        time,
        cluster,
        namespace,
        username,
        client_ip,
        verb,
        subresource,
        status_code,
        coalesce(query_param(request_uri, 'dryRun'), '') = 'All' AS dry_run,
        substr(request_object, 1, 300) AS asked,
        CASE
            WHEN NOT (status_code BETWEEN 200 AND 299) OR coalesce(query_param(request_uri, 'dryRun'), '') = 'All' THEN NULL
            WHEN verb NOT IN ('create', 'update', 'patch') OR coalesce(subresource, 'status') <> 'status' THEN NULL
            WHEN response_object ->> 'kind' <> 'Status' THEN response_object
            WHEN verb <> 'patch' THEN request_object
        END AS body,
        audit_id
    FROM audit
    WHERE
        resource = $resource
        AND ($namespace IS NULL OR namespace = $namespace)
        AND (name = $name OR (verb = 'deletecollection' AND namespace = $namespace))
        AND verb IN ('create', 'update', 'patch', 'delete', 'deletecollection')
        AND stage = 'ResponseComplete'
),

versions AS (
    SELECT
        *,
        lag(body) IGNORE NULLS OVER (PARTITION BY cluster, namespace ORDER BY time, audit_id) AS body_before,
        lag(CASE WHEN body IS NOT NULL THEN time END) IGNORE NULLS OVER (
            PARTITION BY cluster, namespace
            ORDER BY time, audit_id
        ) AS time_before
    FROM writes
)

SELECT
    time,
    cluster,
    namespace,
    username,
    client_ip,
    concat_ws(' ', verb, subresource) AS verb,
    status_code,
    dry_run,
    CASE
        WHEN verb LIKE 'delete%' AND status_code BETWEEN 200 AND 299 AND NOT dry_run THEN 'deleted'
        WHEN body IS NOT NULL AND body_before IS NULL THEN 'first version seen'
        ELSE array_to_string(json_diff(body_before, body), '; ')
    END AS changes,
    CASE WHEN body IS NOT NULL THEN time_before END AS compared_with,
    asked,
    audit_id
FROM versions
ORDER BY time, audit_id
