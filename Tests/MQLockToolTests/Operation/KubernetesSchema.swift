/// What the objects of our manifests may hold, by the reference of the API; a field that is not here is a mistake, or is to
/// be looked up there first. Debian has no tool that knows it without a cluster.
indirect enum KubernetesSchema: Sendable {
    case text
    case number
    case flag
    case list(KubernetesSchema)
    /// Keys of one's own.
    case map(KubernetesSchema)
    case object([String: KubernetesSchema], needs: Set<String> = [])

    static func of(_ kind: String, _ version: String) -> Self? {
        switch (kind, version) {
        case ("Secret", "v1"):
            top(["type": .text, "stringData": .map(.text), "data": .map(.text), "immutable": .flag])
        case ("Deployment", "apps/v1"):
            top([
                "spec": .object(
                    [
                        "replicas": .number, "selector": .object(["matchLabels": .map(.text)], needs: ["matchLabels"]),
                        "template": template, "minReadySeconds": .number, "revisionHistoryLimit": .number,
                        "progressDeadlineSeconds": .number,
                    ], needs: ["selector", "template"])
            ])
        case ("CronJob", "batch/v1"):
            top([
                "spec": .object(
                    [
                        "schedule": .text, "timeZone": .text, "startingDeadlineSeconds": .number,
                        "concurrencyPolicy": .text, "suspend": .flag, "successfulJobsHistoryLimit": .number,
                        "failedJobsHistoryLimit": .number, "jobTemplate": .object(["metadata": metadata, "spec": job]),
                    ], needs: ["schedule", "jobTemplate"])
            ])
        default: nil
        }
    }

    private static func top(_ fields: [String: Self]) -> Self {
        let common = ["apiVersion": Self.text, "kind": .text, "metadata": metadata]
        return .object(
            common.merging(fields) { own, _ in own },
            needs: Set(common.keys).union(fields["spec"] == nil ? [] : ["spec"]))
    }

    private static let metadata = Self.object([
        "name": .text, "namespace": .text, "labels": .map(.text), "annotations": .map(.text),
    ])

    private static let job = Self.object(
        [
            "backoffLimit": .number, "activeDeadlineSeconds": .number, "ttlSecondsAfterFinished": .number,
            "parallelism": .number, "completions": .number, "template": template,
        ], needs: ["template"])

    private static let template = Self.object(
        [
            "metadata": metadata,
            "spec": .object(
                [
                    "containers": .list(container), "volumes": .list(volume), "restartPolicy": .text,
                    "terminationGracePeriodSeconds": .number, "shareProcessNamespace": .flag, "hostPID": .flag,
                    "securityContext": .object([
                        "runAsNonRoot": .flag, "runAsUser": .number, "runAsGroup": .number, "fsGroup": .number,
                        "fsGroupChangePolicy": .text, "supplementalGroups": .list(.number),
                        "seccompProfile": .object(["type": .text], needs: ["type"]),
                    ]),
                    "serviceAccountName": .text, "automountServiceAccountToken": .flag, "nodeSelector": .map(.text),
                ], needs: ["containers"]),
        ], needs: ["spec"])

    private static let container = Self.object(
        [
            "name": .text, "image": .text, "command": .list(.text), "args": .list(.text), "workingDir": .text,
            "env": .list(.object(["name": .text, "value": .text], needs: ["name"])),
            "volumeMounts": .list(
                .object(
                    ["name": .text, "mountPath": .text, "readOnly": .flag, "subPath": .text],
                    needs: ["name", "mountPath"])),
            "lifecycle": .object(["preStop": .object(["exec": .object(["command": .list(.text)], needs: ["command"])])]
            ),
            "resources": .object(["requests": .map(.text), "limits": .map(.text)]),
            "securityContext": .object([
                "allowPrivilegeEscalation": .flag, "readOnlyRootFilesystem": .flag, "privileged": .flag,
                "runAsNonRoot": .flag, "runAsUser": .number,
                "capabilities": .object(["drop": .list(.text), "add": .list(.text)]),
            ]),
        ], needs: ["name", "image"])

    private static let volume = Self.object(
        [
            "name": .text, "emptyDir": .object(["medium": .text, "sizeLimit": .text]),
            "secret": .object(["secretName": .text, "defaultMode": .number], needs: ["secretName"]),
        ], needs: ["name"])

    /// Unknown fields, missing ones, and values of another type, by their paths.
    func complaints(_ value: YAML, at path: String = "") -> [String] {
        switch self {
        case .text: return value.value is String ? [] : ["\(path) is no text"]
        case .number: return value.number == nil ? ["\(path) is no number"] : []
        case .flag: return value.value is Bool ? [] : ["\(path) is neither true nor false"]
        case .list(let element):
            guard value.value is [Any] else { return ["\(path) is no list"] }
            return value.list.enumerated().flatMap { element.complaints($1, at: "\(path)[\($0)]") }
        case .map(let element):
            guard value.value is [String: Any] else { return ["\(path) has no keys"] }
            return value.map.flatMap { element.complaints($1, at: "\(path).\($0)") }
        case .object(let fields, let needs):
            guard value.value is [String: Any] else { return ["\(path) has no keys"] }
            var complaints = needs.filter { !value[$0].isThere }.map { "\(path).\($0) is missing" }
            for (name, field) in value.map {
                guard let schema = fields[name] else {
                    complaints.append("\(path).\(name) is unknown")
                    continue
                }
                complaints += schema.complaints(field, at: "\(path).\(name)")
            }
            return complaints
        }
    }
}
