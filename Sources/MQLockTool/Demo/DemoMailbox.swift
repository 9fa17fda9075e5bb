import Foundation
import MQLock
import MQLockLineReader

/// The parent's messages to a worker, one word a line: `go` answers a question, `quit` ends the work.
final class DemoMailbox: Sendable {
    private struct Storage {
        var answers = 0
        var asking: CheckedContinuation<Void, Never>?
        var hasToQuit = false
        var onQuit: (@Sendable () -> Void)?
    }

    private let storage = Locked(Storage())

    var hasToQuit: Bool { storage.withLock { $0.hasToQuit } }

    /// Waits for the next answer; `quit` answers all questions. Cancellation does not cut it short: a worker that the
    /// parent has stopped or will kill must stay where it is.
    func answer() async {
        await withCheckedContinuation { continuation in
            let isAnswered = storage.withLock { storage in
                if storage.hasToQuit { return true }
                if storage.answers > 0 {
                    storage.answers -= 1
                    return true
                }
                storage.asking = continuation
                return false
            }
            if isAnswered { continuation.resume() }
        }
    }

    /// Calls `body` when the parent sends `quit`; at once if it already has.
    func onQuit(_ body: @escaping @Sendable () -> Void) {
        let hasToQuit = storage.withLock { storage in
            storage.onQuit = body
            return storage.hasToQuit
        }
        if hasToQuit { body() }
    }

    /// Handles a line of the parent's.
    func take(_ line: String) {
        guard line == "go" || line == "quit" else { return }
        let isQuit = line == "quit"
        let (asking, onQuit): (CheckedContinuation<Void, Never>?, (@Sendable () -> Void)?) = storage.withLock {
            storage in
            storage.hasToQuit = storage.hasToQuit || isQuit
            let asking = storage.asking
            storage.asking = nil
            if asking == nil, !isQuit { storage.answers += 1 }
            return (asking, isQuit ? storage.onQuit : nil)
        }
        asking?.resume()
        onQuit?()
    }

    /// Reads standard input in a thread of its own. When it ends, the parent is gone, and this process ends too.
    func readStandardInput() {
        Thread.detachNewThread {
            for line in LineReader() { self.take(line) }
            _exit(0)
        }
    }
}
