-- /// detection
-- title = "A program new to the cluster was refused"
-- severity = "low"
-- status = "stable"
-- attack = ["T1613"]
-- section = [1]
-- categories = ["kube-audit"]
-- baseline = "14d"
-- learn = "7d"
-- key = ["cluster", "agent"]
-- summary = "{user_agent}, a program not refused on {cluster} in the last 14 days, was refused for {username}: {verb} {request_uri}, from {client_ip}"
--
-- description = """
-- Tools an intruder brings along ask for too much and name themselves. Compared by the program's name without its version,
-- over the whole cluster, and among refused requests only. Anonymous requests (the internet's scanners), the control
-- plane, nodes and accounts of the system namespaces are left out, as are refusals by admission. Says nothing for a
-- cluster until seven days of its log were seen. No body is needed.
-- """
-- false_positives = [
--   "New tools and dashboards",
-- ]
-- follow_up = ["denied-by-identity", "address-timeline"]
-- ///

SELECT
    cluster,
    lower(split_part(split_part(coalesce(user_agent, ''), '/', 1), ' ', 1)) AS agent,
    user_agent,
    username,
    verb,
    request_uri,
    client_ip
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code = 403
    AND coalesce(decision, 'forbid') = 'forbid'
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa', 'anonymous')
