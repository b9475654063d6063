-- /// detection
-- title = "Someone asked what they may do"
-- severity = "low"
-- status = "stable"
-- attack = ["T1069.003", "T1613"]
-- section = [6, 1]
-- key = ["cluster", "who"]
-- suppress = "1d"
-- summary = "{who} asked what they may do on {cluster} ({resource}), from {client_ip} with {user_agent}"
--
-- description = """
-- kubectl auth can-i --list and kubectl auth whoami are the first things typed with a credential one does not know.
-- People, the portal, Lens and dashboards ask for single rights all day, which does not count: only whole lists of rights
-- and who am I do. Low: people who learn do it too. Workloads are self-subject-review-by-sa. One alert for each identity
-- and day. No body is needed. Of interest where the identity is new or is refused things afterwards.
-- """
-- false_positives = [
--   "People finding out what they may do; Lens asks for the whole list when it starts",
-- ]
-- follow_up = ["identity-timeline", "denied-by-identity"]
-- ///

SELECT
    cluster,
    username,
    impersonated_username,
    coalesce(impersonated_username, username) AS who,
    resource,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb = 'create'
    AND resource IN ('selfsubjectrulesreviews', 'selfsubjectreviews')
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa', 'service-account')
    AND NOT starts_with(coalesce(impersonated_username, ''), 'system:serviceaccount:')
