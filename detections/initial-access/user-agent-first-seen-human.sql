-- /// detection
-- title = "A person came with a program they never used"
-- severity = "low"
-- status = "stable"
-- attack = ["T1078"]
-- section = [1, 6]
-- categories = ["kube-audit"]
-- baseline = "30d"
-- learn = "7d"
-- key = ["cluster", "username", "agent"]
-- summary = "{username} used {user_agent} on {cluster} for the first time in 30 days: {verb} {request_uri} from {client_ip}"
--
-- description = """
-- People use kubectl and one or two other tools for years; a script, a browser or another client with their identity is
-- a new tool or somebody else with their credential. Versions are not compared. Reads and refused requests count. The
-- local admin counts as a person; service accounts and applications do not (workload-mod-new-user-agent,
-- sa-used-by-kubectl). Says nothing for a cluster until seven days of its log were seen. No body is needed.
-- """
-- false_positives = [
--   "New tools: k9s, Lens, Headlamp, the portal",
-- ]
-- follow_up = ["user-agents-by-identity", "identity-timeline", "address-timeline"]
-- ///

SELECT
    cluster,
    username,
    lower(split_part(split_part(coalesce(user_agent, ''), '/', 1), ' ', 1)) AS agent,
    user_agent,
    verb,
    request_uri,
    status_code,
    client_ip
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND principal_class IN ('entra-user', 'local-admin', 'other')
    AND user_agent IS NOT NULL
