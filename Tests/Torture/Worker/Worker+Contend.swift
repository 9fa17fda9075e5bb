import Foundation
import MQLock
import MQLockRabbitMQ
import MQLockTesting

extension Worker {
    /// Takes the lock again and again, by two contenders, and appends what they see to the file of MQLOCK_HISTORY.
    static func contend(_ locks: RabbitMQLocks, _ name: LockName) async throws {
        let path = ProcessInfo.processInfo.environment["MQLOCK_HISTORY"] ?? "/dev/null"
        let file = open(path, O_WRONLY | O_APPEND | O_CLOEXEC)
        guard file >= 0 else { return say("failed cannot write to \(path)") }
        let recorder = HistoryRecorder(appendingTo: file, keepsEvents: false)
        say("ready")
        await withTaskGroup { group in
            for contender in ["a", "b"] {
                group.addTask { while true { await turn(contender, locks, name, recorder) } }
            }
        }
    }

    private static func turn(
        _ contender: String, _ locks: RabbitMQLocks, _ name: LockName, _ recorder: HistoryRecorder
    ) async {
        // Some waits are given up; most holds are short, and some long enough for every fault to meet a holder.
        let patience = Duration.milliseconds(Int.random(in: 1...20_000))
        let time = Duration.milliseconds(Int.random(in: 0...(Int.random(in: 0..<20) == 0 ? 3000 : 20)))
        do {
            try await recorder.withLock(name, of: locks, contender: contender, within: patience) { _ in
                try await Task.sleep(for: time)
            }
        } catch {
            try? await Task.sleep(for: .milliseconds(20))
        }
    }
}
