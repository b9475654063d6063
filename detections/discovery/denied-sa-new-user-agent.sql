-- /// detection
-- title = "A service account was refused with a program it never used for that"
-- severity = "low"
-- status = "stable"
-- attack = ["T1613", "T1528"]
-- section = [1]
-- categories = ["kube-audit"]
-- baseline = "14d"
-- learn = "7d"
-- key = ["cluster", "username", "agent"]
-- summary = "{username} was refused with {user_agent} for the first time in 14 days on {cluster}: {verb} {request_uri}, from {client_ip}"
--
-- description = """
-- A workload asks for the same things with the same program every day; a refusal with curl or kubectl is somebody using
-- its token. The version is left out of the comparison, so upgrades stay silent. What is compared are refused requests
-- only: a program that was never refused before counts as new. Refusals by admission do not count. Accounts of the system
-- namespaces are left out. Says nothing for a cluster until seven days of its log were seen. No body is needed.
-- """
-- false_positives = [
--   "New operators whose role lacks something",
-- ]
-- follow_up = ["denied-by-identity", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    lower(split_part(split_part(coalesce(user_agent, ''), '/', 1), ' ', 1)) AS agent,
    user_agent,
    verb,
    request_uri,
    client_ip
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code = 403
    AND coalesce(decision, 'forbid') = 'forbid'
    AND principal_class = 'service-account'
