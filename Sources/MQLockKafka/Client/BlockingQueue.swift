import Dispatch
import Synchronization

/// A thread for blocking calls, above all librdkafka's: one after the other, in the order of the calls.
///
/// Swift has only as many threads of its own as there are processors. A call that blocks one makes other tasks wait.
struct BlockingQueue: Sendable {
    private let queue: DispatchQueue

    /// - Parameter purpose: shown to people who look at threads.
    init(_ purpose: String) { queue = DispatchQueue(label: "mqlock.kafka.\(purpose)") }

    /// Runs `body` without waiting for it.
    func start(_ body: @escaping @Sendable () -> Void) { queue.async(execute: body) }

    /// Runs `body`, and waits until it has ended. Cancellation alone ends nothing: the body has to check for it.
    func run<Answer: Sendable, Failure: Error>(
        _ body: @escaping @Sendable (Cancellation) throws(Failure) -> Answer
    ) async throws(Failure) -> Answer {
        let cancellation = Cancellation()
        let result: Result<Answer, Failure> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                queue.async {
                    do throws(Failure) {
                        continuation.resume(returning: .success(try body(cancellation)))
                    } catch {
                        continuation.resume(returning: .failure(error))
                    }
                }
            }
        } onCancel: {
            cancellation.cancel()
        }
        return try result.get()
    }
}

/// Tells work on another thread that nobody waits for it any more.
final class Cancellation: Sendable {
    private let flag = Atomic(false)

    var isCancelled: Bool { flag.load(ordering: .acquiring) }

    func cancel() { flag.store(true, ordering: .releasing) }
}
