@testable import MQLockKafka

extension ClaimWorker {
    /// Steps 1 to 3 of a claim, which nobody cancels.
    func claim(_ shards: [Int32], _ metadata: GroupMetadata) async -> Outcome {
        await withCheckedContinuation { continuation in
            claim(shards, metadata, Cancellation()) { outcome, _ in continuation.resume(returning: outcome) }
        }
    }
}
