extension Task {
    /// Cancels the task from a thread of its own, and returns at once.
    ///
    /// A task's cancellation handlers run where it is cancelled. They are often user code, and may block. So a task
    /// that runs user code must not be cancelled inside an actor that serves others, nor on a loop's or a poll thread.
    package func cancelElsewhere() {
        // Without a thread, use the pool.
        if DetachedThread.start({ cancel() }) != 0 { _ = Task<Void, Never> { cancel() } }
    }
}
