-- /// detection
-- title = "A request was admitted because a webhook did not answer"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1562.001", "T1499"]
-- section = [8]
-- suppress = "1d"
-- key = ["cluster", "webhook"]
-- summary = "Webhook {webhook} of {cluster} did not answer and was passed over: {username} {verb} {object_name}"
--
-- description = """
-- The API server admitted something without having asked a policy that is set to fail open (failurePolicy Ignore), and
-- noted so in the audit annotation. Once is a restart of the policy engine's pods, which the rule reports once a day and
-- webhook; webhook-failed-open-burst tells when it lasts. Annotations are the last thing in a record: where it was cut
-- the rule stays silent. No body is needed. Check what was admitted against the policy, and see why the webhook did not
-- answer.
-- """
-- false_positives = [
--   "Gatekeeper's pods when a node is drained or the add-on is upgraded",
-- ]
-- follow_up = ["admission-denials", "webhook-changes"]
-- ///

SELECT
    cluster,
    regexp_match(annotations, '"failed-open\.(?:validating|mutation)\.webhook\.admission\.k8s\.io/[^"]*"\s*:\s*"([^"]*)"')[1] AS webhook,
    username,
    verb,
    concat(resource, ' ', namespace || '/', coalesce(name, '(name not logged)')) AS object_name,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch', 'delete')
    AND annotations LIKE '%"failed-open.%.webhook.admission.k8s.io/%'
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
