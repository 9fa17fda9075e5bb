import Foundation
import Testing

@testable import MQLockTool

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The example's own script, on a mock cluster of its own.
@Suite(
    "the sharded inventory", .serialized, .timeLimit(.minutes(2)),
    .enabled(
        if: ProcessInfo.processInfo.environment["MQLOCK_KAFKA"] != nil,
        "needs a broker: brokers/with --kafka -- swift test"))
struct InventoryRunTests {
    @Test("a member is killed, one is stopped past its proof, one joins: each movement once")
    func faults() async throws {
        let (status, output) = try await run()
        #expect(status == 0, "\(output)")
        #expect(output.contains("400 movements, each applied once and in order"))
        #expect(output.contains("staleToken"))
    }

    @Test("without its gate the stopped one's write stands, and the script finds it")
    func sabotage() async throws {
        let (status, output) = try await run(options: "--no-gate")
        #expect(status == 1, "\(output)")
        #expect(output.contains("wrote") && output.contains("as a stale owner") && output.contains("is applied again"))
    }

    private func run(options: String = "") async throws -> (status: Int32, output: String) {
        guard let input = Spawn.pipe(), let output = Spawn.pipe() else { throw TestFailure("no pipes") }
        let root = URL(fileURLWithPath: #filePath).appending(path: "../../../..").standardized.path
        let topics = ["--topic", "inventory.locks:4", "--topic", "inventory.movements:4"]
        let spawn = Spawn(
            path: "\(root)/brokers/with",
            arguments: Spawn.strings(["with", "--kafka"] + topics + ["--", "\(root)/examples/ShardedInventory/run"]),
            environment: Spawn.environment(overriding: [
                // A broker of its own, built programs, and no second start beside a broker.
                "MQLOCK_KAFKA": "", "MQLOCK_BUILD": Stage.build.deletingLastPathComponent().path, "MQLOCK_EXAMPLE": "1",
                "INVENTORY_OPTIONS": options,
            ]),
            standard: [0: input.reading, 1: output.writing, 2: output.writing])
        let pid = spawn()
        for descriptor in [input.reading, input.writing, output.writing] { close(descriptor) }
        guard pid > 0 else { throw TestFailure("cannot start brokers/with: \(pid)") }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                Thread.detachNewThread {
                    let text = try? FileHandle(fileDescriptor: output.reading, closeOnDealloc: true).readToEnd()
                    var status: Int32 = 0
                    _ = Platform.retrying { waitpid(pid, &status, 0) }
                    let words = String(decoding: text ?? Data(), as: UTF8.self)
                    continuation.resume(returning: (WaitStatus(status).exitStatus, words))
                }
            }
        } onCancel: {
            // The script and its broker end with it.
            kill(pid, SIGTERM)
        }
    }
}
