import Foundation
import MQLock
import MQLockRabbitMQ
import Testing

@testable import MQLockTool

// With the other tests of the management API, which come one after the other.
extension InspectionCommandTests {
    /// As `gc` does it, with what was made a moment ago being old enough.
    private func clean(_ confirmed: Bool, url: String) async throws -> (output: String, errors: String) {
        let uri = try required(Broker.uri)
        let inspector = try RabbitMQInspector(.init(uri: uri))
        let (output, errors) = (Locked(""), Locked(""))
        let cleaning = LockCleaning(
            options: CleanOptions(pattern: NamePattern("\(name)*"), confirmed: confirmed), uri: uri,
            vhost: inspector.credentials.vhost,
            management: try ManagementAPI(url, credentials: inspector.credentials),
            output: Output(
                standardOutput: { text in output.withLock { $0 += text } },
                standardError: { text in errors.withLock { $0 += text } }), margin: 0)
        #expect(try await cleaning.run() == 0)
        return (output.withLock { $0 }, errors.withLock { $0 })
    }

    private func fence(_ name: String, _ mutex: String) async throws -> UInt64 {
        let run = try start(["run", name, "--mutex", mutex, "--", "sh", "-c", "echo $MQLOCK_FENCE"])
        return try required(UInt64((await run.result()).output.trimmingCharacters(in: .whitespacesAndNewlines)))
    }

    @Test(
        "gc removes what nobody uses, and tokens go on growing",
        .enabled(if: Management.isThere, Management.reason))
    func collected() async throws {
        let url = try await Management.url()
        var fences: [String: UInt64] = [:]
        for mutex in ["sac", "token", "exclusive"] { fences[mutex] = try await fence("\(name)-\(mutex)", mutex) }
        let marked = await (try start(["run", "\(name)-marked", "--once", "day", "--", "true"])).result()
        #expect(marked.status == 0)
        let holder = try start(["run", "\(name)-held", "--", "sh", "-c", "echo ready; exec sleep 600"])
        #expect(await holder.output.line() == "ready")
        func queues() async throws -> [String] {
            try await Management.ctl("-q", "list_queues", "name").split(separator: "\n").map(String.init)
                .filter { $0.contains(name) }
        }
        let before = try await queues()

        // The list is some seconds old.
        let asked = try await eventually("the broker to know what is used") {
            let asked = try await clean(false, url: url)
            let lines = asked.output.split(separator: "\n")
            return lines.count { $0.hasPrefix("unused") } == 3 && lines.count { $0.hasPrefix("kept") } == 2
                ? asked : nil
        }
        #expect(asked.errors.contains("3 of") && asked.errors.contains("2 kept"))
        #expect(try await queues() == before)
        // As a program they are too young.
        let young = try await (start(["gc", "\(name)*", "--yes", "--json", "--management", url])).result()
        #expect(young.status == 0 && !young.output.contains(#""event":"removed""#), "\(young.output)")

        let cleaned = try await clean(true, url: url)
        #expect(cleaned.output.split(separator: "\n").count { $0.hasPrefix("removed") } == 3)
        let after = try await queues()
        #expect(after.allSatisfy { $0.contains("-marked") || $0.contains("-held") } && !after.isEmpty, "\(after)")
        for (mutex, fence) in fences { #expect(try await self.fence("\(name)-\(mutex)", mutex) > fence) }
        holder.send(SIGTERM)
        #expect(await holder.ended().exitStatus == 143)
    }

    @Test("gc without a pattern, or without the management API, does nothing")
    func refusedCleaning() async throws {
        #expect(await (try start(["gc"])).result().status == 64)
        #expect(await (try start(["gc", "a", "b"])).result().status == 64)
        let result = await (try start(["gc", "\(name)*"])).result()
        #expect(result.status == 64 && result.errors.contains("--management"))
    }
}
