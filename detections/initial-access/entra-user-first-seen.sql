-- /// detection
-- title = "A new Entra identity used the cluster"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1078.004"]
-- section = [1]
-- categories = ["kube-audit"]
-- baseline = "30d"
-- learn = "7d"
-- key = ["cluster", "username"]
-- summary = "{username} ({principal_class}) used {cluster} for the first time in 30 days: {verb} {request_uri} from {client_ip}"
--
-- description = """
-- Who may sign in to a cluster changes rarely, and an account that was taken over or invited shows up as one never seen there
-- before. Refused requests count too. Says nothing for a cluster until seven days of its log were seen. No body is needed. Where
-- only kube-audit-admin is sent, just the writes of people are seen, and they come late. Ask who gave the access and why.
-- """
-- false_positives = [
--   "New colleagues; the owner of the subscription opening the portal",
-- ]
-- follow_up = ["identity-timeline", "address-timeline"]
-- ///

SELECT
    cluster,
    username,
    principal_class,
    verb,
    request_uri,
    status_code,
    client_ip,
    user_agent
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND principal_class IN ('entra-user', 'entra-app')
