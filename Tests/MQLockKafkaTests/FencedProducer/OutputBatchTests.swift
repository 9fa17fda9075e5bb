import MQLock
import Testing

@testable import MQLockKafka

/// What a transaction commits, before it begins.
@Suite struct OutputBatchTests {
    private func record(_ offset: Int64) -> ShardRecords.Element {
        .init(partition: 3, offset: offset, key: [], value: nil, headers: [])
    }

    @Test func readingContinuesBehindTheLastProcessedRecord() {
        var batch = OutputBatch([], locks: "orders.mqlock", records: "orders")
        for offset in [40, 41, 7] as [Int64] { batch.commit(after: record(offset)) }
        batch.commit(offset: 9, of: "payments", partition: 3)
        #expect(batch.offsets == ["orders": [3: 42], "payments": [3: 9]])
        #expect(batch.failure == nil)
    }

    @Test func withoutATopicOfRecordsThereIsNothingToCommit() {
        var batch = OutputBatch([], locks: "orders.mqlock")
        batch.commit(after: record(0))
        #expect(batch.offsets.isEmpty && batch.failure?.code == .invalidConfiguration)
    }
}
