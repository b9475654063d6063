-- /// detection
-- title = "Someone was refused acting as another identity"
-- severity = "high"
-- status = "stable"
-- attack = ["T1134"]
-- section = [1]
-- categories = ["kube-audit"]
-- key = ["cluster", "username"]
-- suppress = "1d"
-- summary = "{username} was refused acting as another identity on {cluster}, from {client_ip}: {message}"
--
-- description = """
-- kubectl --as without the right to impersonate: a person trying how far the account goes, or a stolen one. The API
-- server's message says as whom. An allowed one is impersonation-any's or impersonation-privileged's. Proxies of
-- lists/impersonators.csv are left out. No body is needed. Ask the person, and see what else that identity was refused.
-- """
-- false_positives = [
--   "People copying a command with --as; a proxy whose role is missing: add it to lists/impersonators.csv",
-- ]
-- follow_up = ["denied-by-identity", "impersonation-chains", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    request_uri,
    substr(status_message, 1, 300) AS message,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code = 403
    AND status_message LIKE '%cannot impersonate resource%'
    AND NOT listed('impersonators', username)
