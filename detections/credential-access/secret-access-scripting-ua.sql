-- /// detection
-- title = "A script read secrets"
-- severity = "high"
-- status = "stable"
-- attack = ["T1552.007"]
-- section = [4]
-- categories = ["kube-audit"]
-- key = ["cluster", "username", "agent"]
-- suppress = "1d"
-- summary = "{username} read ({verb}) secrets {namespace}/{name} of {cluster} with {user_agent}, from {client_ip}"
--
-- description = """
-- kubectl and operators name themselves; curl, wget, HTTP tools and bare language libraries are what is at hand in a
-- container that was broken into, or on the machine a token was taken to. Command-line tools count for everyone. Libraries
-- (Go, Java, Python, Node) do not count where a service account gets a secret of its own namespace by name, as
-- applications do. Nodes, the control plane and lists/secret_readers.csv are left out. A user agent is easily forged:
-- silence proves nothing. No body is needed.
-- """
-- false_positives = [
--   "Applications that talk to the API without a Kubernetes library: add them to lists/secret_readers.csv",
-- ]
-- follow_up = ["secrets-read-by-identity", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    lower(split_part(split_part(coalesce(user_agent, ''), '/', 1), ' ', 1)) AS agent,
    verb,
    namespace,
    name,
    user_agent,
    client_ip
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND (status_code BETWEEN 200 AND 299 OR status_code = 101)
    AND resource = 'secrets'
    AND verb IN ('get', 'list', 'watch')
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node')
    AND NOT listed('secret_readers', username)
    AND (
        regexp_like(lower(user_agent), '^(curl|wget|httpie|xh|postmanruntime|insomnia|powershell|libwww-perl|lwp[a-z:-]*|perl)([/ ]|$)|windowspowershell|\bkali\b')
        OR (
            regexp_like(lower(user_agent), '^(go-http-client|python[a-z-]*|java(-http-client)?|okhttp|apache-httpclient|node(-fetch)?|axios|undici|got|php|guzzlehttp|ruby|faraday|restsharp)([/ ]|$)')
            AND NOT coalesce(verb = 'get' AND name IS NOT NULL AND sa_namespace(username) = namespace, false)
        )
    )
