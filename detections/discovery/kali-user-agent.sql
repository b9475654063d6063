-- /// detection
-- title = "A client from an offensive distribution spoke to the API server"
-- severity = "high"
-- status = "stable"
-- attack = ["T1613"]
-- section = [6]
-- categories = ["kube-audit"]
-- suppress = "1d"
-- key = ["cluster", "username", "agent"]
-- summary = "{username} used {agent} on {cluster} ({verb} {request_uri}: {status_code}), from {client_ip}"
--
-- description = """
-- A client that says it was built for or runs on Kali is a test nobody announced or an intruder who did not bother to
-- hide. Refused requests count; those without credentials do not, the internet makes them all day. A user agent is
-- easily changed: silence proves nothing. No body is needed. Look at what the identity was allowed to see.
-- """
-- false_positives = [
--   "Penetration tests that were announced: add the account to lists/security_scanners.csv",
-- ]
-- follow_up = ["identity-timeline", "address-timeline", "denied-by-identity"]
-- ///

SELECT
    cluster,
    username,
    lower(user_agent) AS agent,
    verb,
    request_uri,
    status_code,
    client_ip
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND status_code <> 401
    AND regexp_like(lower(user_agent), '\bkali\b')
    AND coalesce(principal_class, 'other') <> 'anonymous'
    AND NOT listed('security_scanners', username)
