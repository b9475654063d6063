-- /// detection
-- title = "A mutating webhook was put in and began to change objects"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1546", "T1552"]
-- section = [8]
-- window = "1h"
-- step = "1m"
-- suppress = "1d"
-- key = ["cluster", "name"]
-- summary = "{username} wrote mutating webhook {name} of {cluster}, and within an hour it changed {changed} objects ({objects})"
--
-- description = """
-- Proof that a new webhook is at work: the API server notes in each record which webhook configuration changed the
-- object, so an injector that reads secrets or adds containers shows up with its first victim. The webhook must have
-- been written by somebody other than AKS, lists/webhook_managers.csv and lists/workload_deployers.csv, and must have
-- changed an object later within the hour. The annotation is last in a record and lost where it was cut; no body is
-- needed. Dry runs do not count. Compare the objects with their source.
-- """
-- false_positives = [
--   "A mesh or policy engine that is installed by hand",
-- ]
-- follow_up = ["webhook-changes", "identity-timeline", "object-history"]
-- ///

SELECT
    cluster,
    name,
    min(username) AS username,
    count(changed_object) AS changed,
    substr(string_agg(DISTINCT changed_object, ', ' ORDER BY changed_object), 1, 500) AS objects,
    min(client_ip) AS client_ip,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM (
    SELECT
        cluster,
        split_part(part, '\"', 1) AS name,
        CASE WHEN written THEN username END AS username,
        CASE WHEN written THEN client_ip END AS client_ip,
        CASE WHEN NOT written THEN changed_object END AS changed_object,
        CASE WHEN written THEN time END AS put_in,
        time
    FROM (
        SELECT
            cluster,
            username,
            client_ip,
            concat(resource, ' ', namespace || '/', name) AS changed_object,
            time,
            resource = 'mutatingwebhookconfigurations' AS written,
            unnest(CASE
                WHEN resource = 'mutatingwebhookconfigurations' THEN make_array(concat(name, '\","mutated\":true'))
                ELSE string_to_array(annotations, 'configuration\":\"')
            END) AS part
        FROM audit
        WHERE
            stage = 'ResponseComplete'
            AND status_code BETWEEN 200 AND 299
            AND verb IN ('create', 'update', 'patch')
            AND (
                (
                    resource = 'mutatingwebhookconfigurations'
                    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
                    AND NOT listed('webhook_managers', username)
                    AND NOT listed('workload_deployers', username)
                )
                OR (resource <> 'mutatingwebhookconfigurations' AND annotations LIKE '%mutated_":true%')
            )
            AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
    ) AS noted
    WHERE
        part LIKE '%mutated_":true%'
) AS step
GROUP BY cluster, name
HAVING min(put_in) < max(time) FILTER (WHERE changed_object IS NOT NULL)
