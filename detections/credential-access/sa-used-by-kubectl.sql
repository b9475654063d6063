-- /// detection
-- title = "A workload's identity was used with kubectl or a browser"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1528", "T1078"]
-- section = [1]
-- categories = ["kube-audit"]
-- key = ["cluster", "username", "agent"]
-- suppress = "7d"
-- summary = "{username} was used with {user_agent} on {cluster} from {client_ip}: first {verb} {request_uri} ({status_code})"
--
-- description = """
-- Workloads talk to the API server through a library; kubectl, k9s, Lens, curl or a browser with a service account's
-- token is a person, and often the thief of it. Medium because jobs that run kubectl in the cluster look the same: list
-- those accounts. Every request counts, also refused ones; one alert a week for each account and program. The user
-- agent is what the client claims. Accounts of kube-system are not exempt. No body is needed. See where the address
-- belongs, then what was asked for.
-- """
-- false_positives = [
--   "Jobs, chart hooks and CI runners that call kubectl or curl in the cluster: add the account to lists/external_accounts.csv",
--   "Dashboards that pass the browser's user agent on",
-- ]
-- follow_up = ["identity-timeline", "address-timeline", "tokens-created"]
-- ///

SELECT
    cluster,
    username,
    lower(split_part(split_part(user_agent, '/', 1), ' ', 1)) AS agent,
    verb,
    request_uri,
    status_code,
    client_ip,
    user_agent
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND principal_class IN ('service-account', 'system-sa')
    AND regexp_like(
        lower(user_agent),
        '^(kubectl(\.exe)?|k9s|lens|openlens|freelens|headlamp|curl|wget|httpie|postmanruntime|insomnia|python-requests|mozilla)([/ ]|$)'
    )
    AND NOT listed('external_accounts', username)
