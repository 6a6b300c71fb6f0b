/** Uppy's words where ours are plainer. */

export const DASHBOARD_WORDS = {
  dashboardTitle: "Files to send",
  dropHint: "Drop files or folders here",
  dropPasteBoth: "Drop files or folders here, %{browseFiles} or %{browseFolders}",
  browseFiles: "choose files",
  browseFolders: "choose a folder",
  done: "Clear the list",
  uploading: "Sending",
  complete: "All sent",
  uploadFailed: "Not everything could be sent; see below",
  retryUpload: "Try again",
  pauseUpload: "Pause",
  resumeUpload: "Go on",
  cancelUpload: "Cancel and delete what arrived",
  removeFile: "Remove from the list",
  filesUploadedOfTotal: { 0: "%{complete} of %{smart_count} file sent", 1: "%{complete} of %{smart_count} files sent" },
  uploadingXFiles: { 0: "Sending %{smart_count} file", 1: "Sending %{smart_count} files" },
  processingXFiles: { 0: "Reading %{smart_count} file", 1: "Reading %{smart_count} files" },
  noDuplicates: "%{fileName} is in the list already.",
};
