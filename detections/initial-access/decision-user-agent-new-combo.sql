-- /// detection
-- title = "An identity came with another program"
-- severity = "informational"
-- status = "shadow"
-- attack = ["T1078"]
-- section = [1]
-- categories = ["kube-audit"]
-- baseline = "14d"
-- learn = "7d"
-- key = ["cluster", "outcome", "username", "agent"]
-- summary = "{username} used {agent} on {cluster} for the first time in 14 days ({outcome}), from {client_ip}"
--
-- description = """
-- Whether a request was allowed, by whom and with which program: a combination never seen is weak evidence, but the first
-- there is when a token is used elsewhere. Counted only (shadow), since every new workload and tool brings one. Versions
-- are not compared; allowed is told by the status, because the annotation is lost when a record is cut. Says nothing for a
-- cluster until seven days of its log were seen. No body is needed.
-- """
-- false_positives = [
--   "New workloads, add-ons and tools",
-- ]
-- follow_up = ["identity-timeline"]
-- ///

SELECT
    cluster,
    CASE WHEN status_code IN (401, 403) THEN 'forbid' ELSE 'allow' END AS outcome,
    username,
    lower(split_part(split_part(coalesce(user_agent, ''), '/', 1), ' ', 1)) AS agent,
    client_ip
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND username IS NOT NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'anonymous')
