-- /// detection
-- title = "A workload's command is a reverse shell or runs a download"
-- severity = "high"
-- status = "stable"
-- attack = ["T1059.004", "T1610"]
-- section = [5]
-- key = ["cluster", "username", "namespace", "resource", "name"]
-- suppress = "1d"
-- summary = "{username} started ({verb}) {resource} {namespace}/{name} of {cluster} with a reverse shell or a download as its command, the first being {command}, from {client_ip}"
--
-- description = """
-- A shell tied to a connection has one purpose; a script fetched at start and piped into a shell is whatever its
-- server says that day. Commands, arguments, hooks and probes of all containers are searched, init and ephemeral ones
-- too. Every workload kind counts, on create, update and patch; what the built-in controllers make from it does not,
-- and dry runs do not. At level Metadata, or when the body was cut before the containers, nothing is known and the
-- rule stays silent (audit-record-truncated reports the cut). What a script in the image or in a ConfigMap does is not
-- seen. No identity is exempt. Stop the workload, keep the pod for evidence, and see who made it.
-- """
-- false_positives = [
--   "Charts that fetch a script at start: put it into the image, or add namespace/name to lists/bootstrap_workloads.csv",
-- ]
-- follow_up = ["object-history", "identity-timeline", "new-images"]
-- ///

SELECT
    cluster,
    username,
    verb,
    resource,
    namespace,
    name,
    left(regexp_match(pod_spec(object), '"(?:command|args)"\s*:\s*(\[[^\]]*\])')[1], 300) AS command,
    array_to_string(container_images(object), ', ') AS images,
    pod_service_account(object) AS service_account,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch')
    AND resource IN (
        'pods', 'deployments', 'daemonsets', 'statefulsets', 'replicasets',
        'jobs', 'cronjobs', 'replicationcontrollers', 'podtemplates'
    )
    AND (subresource = 'ephemeralcontainers' OR (subresource IS NULL AND (resource <> 'pods' OR verb = 'create')))
    AND NOT (resource IN ('pods', 'replicasets', 'jobs') AND listed('workload_controllers', username))
    AND regexp_like(
        replace(replace(replace(pod_spec(object), '\u003e', '>'), '\u003c', '<'), '\u0026', '&'),
        '(?i)>&\s*/dev/(tcp|udp)/|<>\s*/dev/(tcp|udp)/|\b(nc|ncat|netcat)\s(([^"\\]|\\.)*\s)?(-[a-z]*[ec]|--(sh-)?exec)\s+[^\s"]*(sh|cmd|powershell)\b|\bmkfifo\s([^"\\]|\\.)*\b(nc|ncat|netcat|telnet|openssl)\b|\bsocat\s([^"\\]|\\.)*\b(exec|system|pty)\b|\bpty\.spawn\b|(io::socket|use\s+socket)([^"\\]|\\.)*\bexec\b|\bfsockopen\b([^"\\]|\\.)*(exec|popen|proc_open)|\btcpsocket\.(new|open)([^"\\]|\\.)*\bexec\b|\b(curl|wget)\s[^|"]*\|\s*(sudo\s([^|"]*\s)?)?(ba|da|z)?sh(["\s;\\]|$)|\bbase64\s+(-d|-D|--decode)\s*\|\s*(ba|da|z)?sh(["\s;\\]|$)'
    )
    AND NOT listed('bootstrap_workloads', concat(namespace, '/', name))
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
