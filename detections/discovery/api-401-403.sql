-- /// detection
-- title = "A request of someone not expected was refused"
-- severity = "informational"
-- status = "shadow"
-- attack = ["T1078", "T1613"]
-- section = [1]
-- categories = ["kube-audit"]
-- key = ["cluster", "username", "status_code"]
-- suppress = "1d"
-- summary = "{username} was refused ({status_code}) on {cluster}: first {verb} {request_uri}, from {client_ip}"
--
-- description = """
-- A record of who meets refusals, one for each identity and day. Counted only (shadow): software probes for optional
-- kinds, tokens expire. People of lists/allowed_users.csv, who open dashboards with few rights, are left out; the
-- patterns that matter fire for them too (api-denied-distinct-resources, denied-burst-public-ip,
-- seq-recon-then-secret). Anonymous requests are anon-request-any's. A 401 names nobody. No body is needed.
-- """
-- false_positives = [
--   "Monitoring agents and dashboards without rights on optional kinds: give them the right, or add them to lists/allowed_users.csv; expired tokens",
-- ]
-- follow_up = ["denied-by-identity", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    status_code,
    verb,
    request_uri,
    status_message,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code IN (401, 403)
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa', 'anonymous')
    AND NOT listed('allowed_users', username)
