-- /// detection
-- title = "A policy webhook was passed over many times"
-- severity = "high"
-- status = "stable"
-- attack = ["T1562.001", "T1499"]
-- section = [8]
-- window = "5m"
-- suppress = "1h"
-- key = ["cluster", "webhook"]
-- summary = "Webhook {webhook} of {cluster} was passed over in {requests} requests within five minutes, by {usernames}"
--
-- description = """
-- Twenty requests within five minutes were admitted without the webhook that should have judged them, over a minute or
-- more: for that long the policy is off. Its pods were stopped, scaled to none, cut off by a network policy, or are
-- overloaded on purpose. Reads the audit annotation failed-open, which is the last thing in a record and lost where it
-- was cut; no body is needed and dry runs do not count. Bring the webhook back, and check what was admitted against the
-- policy.
-- """
-- false_positives = [
--   "An outage or a slow upgrade of the policy engine",
-- ]
-- follow_up = ["webhook-changes", "admission-denials", "deletions-by-identity"]
-- ///

SELECT
    cluster,
    regexp_match(annotations, '"failed-open\.(?:validating|mutation)\.webhook\.admission\.k8s\.io/[^"]*"\s*:\s*"([^"]*)"')[1] AS webhook,
    count(DISTINCT audit_id) AS requests,
    substr(string_agg(DISTINCT username, ', ' ORDER BY username), 1, 500) AS usernames,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch', 'delete')
    AND annotations LIKE '%"failed-open.%.webhook.admission.k8s.io/%'
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
GROUP BY cluster, regexp_match(annotations, '"failed-open\.(?:validating|mutation)\.webhook\.admission\.k8s\.io/[^"]*"\s*:\s*"([^"]*)"')[1]
HAVING
    count(DISTINCT audit_id) >= 20
    AND max(time) - min(time) >= INTERVAL '60 seconds'
