-- /// detection
-- title = "Going into a pod was refused"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1609"]
-- section = [5]
-- categories = ["kube-audit"]
-- key = ["cluster", "username"]
-- suppress = "1d"
-- summary = "{username} was refused {subresource} on pod {namespace}/{name} of {cluster}, from {client_ip}"
--
-- description = """
-- Someone tried exec, attach, port-forward or a debug container without the right to it: a curious colleague, or someone
-- finding out what a stolen identity may do. Refusals by admission (policy) count too. One alert for each identity and
-- day. Requests without credentials are left out (anon-request-any). No body is needed. See what else was refused to the
-- same identity, and whether it got a role since.
-- """
-- false_positives = [
--   "Readers who click on a terminal in the portal, Lens or Headlamp",
-- ]
-- follow_up = ["denied-by-identity", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    subresource,
    namespace,
    name,
    exec_command(request_uri, object) AS command,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code = 403
    AND resource = 'pods'
    AND subresource IN ('exec', 'attach', 'portforward', 'ephemeralcontainers')
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'anonymous')
