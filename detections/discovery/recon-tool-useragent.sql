-- /// detection
-- title = "A known attack tool spoke to the API server"
-- severity = "high"
-- status = "stable"
-- attack = ["T1613", "T1595"]
-- section = [6]
-- categories = ["kube-audit"]
-- key = ["cluster", "username", "agent"]
-- suppress = "1d"
-- summary = "{username} used {agent} on {cluster} ({verb} {request_uri}: {status_code}), from {client_ip}"
--
-- description = """
-- Scanners and attack tools that name themselves, used by somebody who has signed in: an audit nobody announced, or an
-- intruder in a hurry. Refused requests count. Requests without credentials are left out, since the whole internet is
-- scanned with some of these all day (anon-scan-threshold). A user agent is easily changed: silence proves nothing. No
-- body is needed. Look at what the identity was allowed to see.
-- """
-- false_positives = [
--   "Audits of your own: add the account to lists/security_scanners.csv",
-- ]
-- follow_up = ["identity-timeline", "denied-by-identity", "address-timeline"]
-- ///

SELECT
    cluster,
    username,
    regexp_replace(
        lower(user_agent),
        '^.*\b(kube-?hunter|kubescape|peirates|rakkess|access_?matrix|trufflehog|azurehound|micro-?scanner|kubiscan|nuclei|zgrab|masscan|nmap|sqlmap|cdk|kubeaudit|popeye|kdigger|kubeletctl)\b.*$',
        '\1'
    ) AS agent,
    verb,
    request_uri,
    status_code,
    client_ip,
    user_agent
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND status_code <> 401
    AND regexp_like(
        lower(user_agent),
        '\b(kube-?hunter|kubescape|peirates|rakkess|access_?matrix|trufflehog|azurehound|micro-?scanner|kubiscan|nuclei|zgrab|masscan|nmap|sqlmap|cdk/|kubeaudit|popeye|kdigger|kubeletctl)'
    )
    AND coalesce(principal_class, 'other') <> 'anonymous'
    AND NOT listed('security_scanners', username)
